-- Makes a webhook due now, as if it had never been tried.
--
-- KEYS[1]  hash: the webhook               KEYS[2]  sorted set: webhook id by its next attempt, Unix milliseconds
-- KEYS[3]  sorted set: webhook id by when its record goes
-- ARGV     id, milliseconds to keep its record
-- Returns  1, or 0 where there is none of that id
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'attempts', 0, 'state', 'waiting', 'next_at', now)
redis.call('PEXPIREAT', KEYS[1], now + ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZADD', KEYS[3], now + ARGV[2], ARGV[1])
return 1
