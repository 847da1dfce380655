-- Looks at both lanes at one moment and changes nothing. Begins with lanes.lua.
--
-- ARGV      the idle milliseconds of what was handed back
-- Returns   of paid, then of free: jobs in the lane, of these running, held back, milliseconds since the oldest of those
--           in the lane that nobody works on came there (0 where there is none)
local handed_back_ms = ARGV[1]
local now, most = now_ms(), 1000

local function age(entry)
    return entry and now - string.match(entry[1], '^%d+') or 0
end

local state = {}
for _, lane in ipairs({'paid', 'free'}) do
    local stream = stream_of(lane)
    local running, oldest_ms = 0, 0
    if redis.call('EXISTS', stream) == 1 then
        local info, last = redis.call('XINFO', 'GROUPS', stream)[1], '0'
        for i = 1, #info, 2 do
            if info[i] == 'last-delivered-id' then
                last = info[i + 1]
            end
        end
        local handed_back = redis.call('XPENDING', stream, group, 'IDLE', handed_back_ms, '-', '+', most)
        running = redis.call('XPENDING', stream, group)[1] - #handed_back
        oldest_ms = math.max(0, age(redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]), age(handed_back[1]))
    end
    table.insert(state, redis.call('XLEN', stream))
    table.insert(state, running)
    table.insert(state, tonumber(redis.call('HGET', load_key, lane .. ':held') or 0))
    table.insert(state, oldest_ms)
end
return state
