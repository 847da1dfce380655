-- Removes some of what a purge covers; to be called again while it removes as many as it may. Begins with variants.lua.
--
-- ARGV      account, by, value, most to remove, 1 at the first call, milliseconds of the grace
-- Returns   how many were removed
local account, by, value, most, grace_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
if ARGV[5] == '1' then
    -- Told before anything is removed: what is being made is not kept from here on.
    redis.call('XADD', purges_key, 'MAXLEN', most_purges, '*', 'account', account, 'by', by, 'value', value)
end
local keys = {}
if by == 'tag' then
    keys = redis.call('SRANDMEMBER', tag_of(account, value), most)
else
    local first = by == 'url' and value .. '\0' or value
    for _, member in ipairs(redis.call('ZRANGEBYLEX', sources_of(account), '[' .. first, '[' .. first .. '\255', 'LIMIT', 0, most)) do
        keys[#keys + 1] = string.match(member, '%z(.*)$')
    end
end
for _, key in ipairs(keys) do
    drop(key, grace_ms)
end
return #keys
