-- Writes what an attempt to send a webhook came to. One that is gone, or has been delivered, stays as it is.
--
-- KEYS[1]  hash: the webhook               KEYS[2]  sorted set: webhook id by its next attempt, Unix milliseconds
-- ARGV     id, attempts, state, next attempt (Unix milliseconds), result
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'delivered' then
    return
end
redis.call('HSET', KEYS[1], 'attempts', ARGV[2], 'state', ARGV[3], 'next_at', ARGV[4], 'last_result', ARGV[5])
if ARGV[3] == 'waiting' then
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
else
    redis.call('ZREM', KEYS[2], ARGV[1])
end
