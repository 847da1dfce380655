-- Takes a job: of each lane one that was silent for so long, else the next. Begins with lanes.lua.
--
-- ARGV      worker, silent milliseconds, paid jobs in a row after which free goes first, most of an account in the
--           lanes, when it was asked (by this server's clock), milliseconds after which the one who asks may be gone
-- Returns   {now, 1 where the question was too old to be answered}, or {now, 0} where there is nothing to do,
--           or {now, 0, record, times it was delivered, token}
local worker, silent_ms, in_a_row, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local asked, patience_ms = tonumber(ARGV[5]), tonumber(ARGV[6])

local now = now_ms()
if now - asked > patience_ms then
    return {now, 1}
end

local function take(lane)
    local stream = stream_of(lane)
    if redis.call('EXISTS', stream) == 0 then
        return nil
    end
    -- Not XAUTOCLAIM: it looks at ten entries a call, and does not tell how often they were delivered.
    local silent = redis.call('XPENDING', stream, group, 'IDLE', silent_ms, '-', '+', 1)[1]
    if silent then
        return redis.call('XCLAIM', stream, group, consumer, 0, silent[1])[1], silent[4] + 1
    end
    local read = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', stream, '>')
    if not read then
        return nil
    end
    local entry = read[1][2][1]
    local cost = entry[2][6]
    redis.call('HINCRBY', load_key, lane .. ':queued_ms', -cost)
    redis.call('HINCRBY', load_key, lane .. ':running_ms', cost)
    return entry, 1
end

while true do
    local row = tonumber(redis.call('HGET', load_key, 'paid_in_a_row') or 0)
    local lane, other = 'paid', 'free'
    if row >= in_a_row then
        lane, other = other, lane
    end
    local entry, deliveries = take(lane)
    if not entry then
        lane = other
        entry, deliveries = take(lane)
    end
    if not entry then
        return {now, 0}
    end

    local id = entry[2][2]
    local record = redis.call('HGET', record_of(id), 'job')
    if record then
        redis.call('HSET', load_key, 'paid_in_a_row', lane == 'free' and 0 or math.min(row + 1, in_a_row))
        redis.call('HSET', record_of(id), 'worker', worker)
        return {now, 0, record, deliveries, redis.call('HINCRBY', record_of(id), 'token', 1)}
    end
    -- Its record was evicted by a server that is set to do so, or removed by hand: it must not stop the lane.
    redis.call('DEL', record_of(id))
    leave(lane, entry[1], most)
end
