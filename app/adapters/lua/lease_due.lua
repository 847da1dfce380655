-- Takes what is due; it is due again after the lease, unless it is removed or moved before.
--
-- KEYS[1]  sorted set: id by when it is due, Unix milliseconds
-- ARGV     most to take, milliseconds of the lease
-- Returns  ids, the longest due first
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
    redis.call('ZADD', KEYS[1], now + ARGV[2], id)
end
return ids
