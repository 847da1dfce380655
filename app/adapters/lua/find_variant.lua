-- Looks a variant up and notes that it is used. Begins with variants.lua.
--
-- ARGV      key
-- Returns   {record or nil, the place in the log of purges}
local record = redis.call('HGET', variant_of(ARGV[1]), 'record')
if record then
    redis.call('ZADD', used_key, 'XX', now_ms(), ARGV[1])
end
return {record, last_of(purges_key)}
