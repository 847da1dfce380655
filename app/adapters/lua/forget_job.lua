-- Removes a record with its place among those that go. A job under way has no such place, and stays.
--
-- KEYS[1]  hash: the job's record          KEYS[2]  sorted set: job id by when it goes
-- ARGV     job id
if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 then
    redis.call('DEL', KEYS[1])
end
