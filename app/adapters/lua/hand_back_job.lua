-- Gives a claimed job back as if this delivery had not been. Begins with lanes.lua.
--
-- ARGV      job id, lane, token, deliveries before this one, milliseconds of silence to lay on it: it is next
-- Returns   1, or 0 where the claim has gone
local id, lane, token, deliveries, silent_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ours, entry = holds(id, token)
if not (ours and entry) then
    return 0
end
redis.call('HINCRBY', record_of(id), 'token', 1)
redis.call('XCLAIM', stream_of(lane), group, consumer, 0, entry, 'IDLE', silent_ms, 'RETRYCOUNT', deliveries, 'JUSTID')
return 1
