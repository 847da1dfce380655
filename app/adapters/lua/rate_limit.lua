-- Spends from a fixed window that begins at its first spend. One call is one atomic decision.
-- Needs effects replication (the default since Redis 5): it writes after TIME.
--
-- KEYS[1]  hash of one window: spent, ends (Unix milliseconds)
-- ARGV     limit, cost (0 only looks), window in milliseconds
-- Returns  {allowed 1 or 0, remaining, ends, now}; times in Unix milliseconds
local limit, cost, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The end is stored, not derived from the key's expiry: PTTL and TIME are different clocks inside a script, and every
-- request of a window must be told the same end.
local stored = redis.call('HMGET', KEYS[1], 'spent', 'ends')
local spent, ends = tonumber(stored[1]), tonumber(stored[2])

-- An end further off than a window means that the server's clock was set back: begin anew.
local fresh = not ends or now >= ends or ends - now > window
if fresh then
    spent, ends = 0, now + window
end

if cost > 0 then
    if spent + cost > limit then
        return {0, math.max(limit - spent, 0), ends, now}
    end
    spent = spent + cost
    if fresh then
        redis.call('HSET', KEYS[1], 'spent', spent, 'ends', ends)
        redis.call('PEXPIREAT', KEYS[1], ends)
    else
        redis.call('HINCRBY', KEYS[1], 'spent', cost)
    end
end
return {1, math.max(limit - spent, 0), ends, now}
