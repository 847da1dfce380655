-- Keeps a variant in place of what is under its key. Begins with variants.lua.
--
-- ARGV      key, record, account, source, tags (space between), blob or nothing, what it counts for, bound on that,
--           the place in the log of purges before its source was asked for, milliseconds of the grace
-- Returns   1, or 0 where it was purged meanwhile or the promise of its blob is over
local key, record, account, source, tags, blob = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local cost, bound, since, grace_ms = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10]

local function is_purged()
    if redis.call('XLEN', purges_key) >= most_purges and #redis.call('XRANGE', purges_key, '-', since, 'COUNT', 1) == 0 then
        return true -- the log does not reach back so far
    end
    for _, entry in ipairs(redis.call('XRANGE', purges_key, '(' .. since, '+')) do
        local of, by, value = entry[2][2], entry[2][4], entry[2][6]
        if of == account and (
            (by == 'url' and source == value)
            or (by == 'prefix' and string.sub(source, 1, #value) == value)
            or (by == 'tag' and string.find(' ' .. tags .. ' ', ' ' .. value .. ' ', 1, true))
        ) then
            return true
        end
    end
    return false
end

if is_purged() then
    return 0
end
local is_kept = redis.call('HGET', variant_of(key), 'blob') == blob
if blob ~= '' and not is_kept and redis.call('ZREM', due_key, blob) == 0 then
    return 0
end
drop(key, grace_ms, blob)
redis.call('HSET', variant_of(key), 'record', record, 'account', account, 'source', source, 'tags', tags,
    'blob', blob, 'cost', cost)
redis.call('ZADD', sources_of(account), 0, source .. '\0' .. key)
for tag in string.gmatch(tags, '%S+') do
    redis.call('SADD', tag_of(account, tag), key)
end
redis.call('ZADD', used_key, now_ms(), key)
local bytes = redis.call('INCRBY', bytes_key, cost)
while bytes > bound do
    local oldest = redis.call('ZRANGE', used_key, 0, 0)[1]
    if oldest == key then
        break
    end
    drop(oldest, grace_ms)
    bytes = tonumber(redis.call('GET', bytes_key))
end
tell_end(key)
return 1
