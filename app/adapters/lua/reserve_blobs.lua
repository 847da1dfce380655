-- Notes when the blobs of jobs go that are not recorded yet. A recorded one keeps what it has.
--
-- KEYS[1]  sorted set: job id by when it goes, Unix milliseconds          KEYS[2...]  hashes: the jobs' records
-- ARGV     milliseconds from now, job ids in the order of their records
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for number = 2, #KEYS do
    if redis.call('EXISTS', KEYS[number]) == 0 then
        redis.call('ZADD', KEYS[1], due, ARGV[number])
    end
end
