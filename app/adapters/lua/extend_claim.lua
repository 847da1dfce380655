-- Tells that a claim's worker is alive. Begins with lanes.lua.
--
-- ARGV      job id, lane, token
-- Returns   1, or 0 where the claim has gone to another
local id, lane, token = ARGV[1], ARGV[2], ARGV[3]
local ours, entry = holds(id, token)
if not ours then
    return 0
end
-- A worker that speaks while its own end of the job is being written has lost nothing.
if entry then
    -- With JUSTID, the silence begins anew and the deliveries stay as they are.
    redis.call('XCLAIM', stream_of(lane), group, consumer, 0, entry, 'JUSTID')
end
return 1
