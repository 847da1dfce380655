-- Tells that a worker is there, and forgets those that have not said so for long. Begins with lanes.lua.
--
-- ARGV      worker, its slots, milliseconds for which they count
local worker, slots, valid_ms = ARGV[1], ARGV[2], ARGV[3]
local workers, now = root .. 'workers', now_ms()
redis.call('HSET', workers, worker, slots .. ' ' .. string.format('%.0f', now + valid_ms))
local known = redis.call('HGETALL', workers)
for place = 1, #known, 2 do
    if tonumber(string.match(known[place + 1], ' (%d+)$')) <= now then
        redis.call('HDEL', workers, known[place])
    end
end
