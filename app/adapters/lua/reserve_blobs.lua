-- Notes when the blobs of a job go that is not recorded yet. A recorded one keeps what it has.
--
-- KEYS[1]  hash: the job's record          KEYS[2]  sorted set: job id by when it goes, Unix milliseconds
-- ARGV     job id, milliseconds from now
if redis.call('EXISTS', KEYS[1]) == 0 then
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
end
