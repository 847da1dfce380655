-- Puts a job in its lane, or holds it back where its account has as many there as it may. The same id twice is one job.
-- Begins with lanes.lua.
--
-- ARGV      id, record, account, lane, most of an account in the lanes, bytes of the source,
--           the name of its kind of work, milliseconds a byte to expect of a kind that nothing is known of
-- Returns   {1 where the job is new, its milliseconds, the workers' slots,
--           of paid, then of free: queued, queued ms, running, running ms;
--           of its account: admitted, admitted ms, held, held ms}; all without the job. Or {0} where it is finished.
local id, record, account, lane, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local size, work, prior = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])

local known = redis.call('EXISTS', record_of(id)) == 1
if known and redis.call('HEXISTS', record_of(id), 'finished') == 1 then
    return {0}
end

local learnt = redis.call('HMGET', root .. 'jobs:rates', work .. ':ms', work .. ':bytes')
local cost = math.ceil(size * (learnt[1] and learnt[1] / learnt[2] or prior))

local slots, now = 0, now_ms()
local workers = redis.call('HVALS', root .. 'workers')
for _, worker in ipairs(workers) do
    local count, until_ms = string.match(worker, '^(%d+) (%d+)$')
    if tonumber(until_ms) > now then
        slots = slots + count
    end
end

local load = {known and 0 or 1, cost, slots}
for _, name in ipairs({'paid', 'free'}) do
    local stream, running = stream_of(name), 0
    if redis.call('EXISTS', stream) == 1 then
        running = redis.call('XPENDING', stream, group)[1]
    end
    local expected = redis.call('HMGET', load_key, name .. ':queued_ms', name .. ':running_ms')
    table.insert(load, redis.call('XLEN', stream) - running)
    table.insert(load, tonumber(expected[1] or 0))
    table.insert(load, running)
    table.insert(load, tonumber(expected[2] or 0))
end
local own = redis.call('HMGET', load_of(account), 'admitted', 'admitted_ms', 'held_ms')
table.insert(load, tonumber(own[1] or 0))
table.insert(load, tonumber(own[2] or 0))
table.insert(load, redis.call('LLEN', held_of(account)))
table.insert(load, tonumber(own[3] or 0))

if not known then
    redis.call('HSET', record_of(id), 'job', record)
    -- Its blobs are the job's now; what `reserve` promised is taken back.
    redis.call('ZREM', due_key, id)
    redis.call('RPUSH', held_of(account), lane .. ' ' .. cost .. ' ' .. id)
    redis.call('HINCRBY', load_key, lane .. ':held', 1)
    redis.call('HINCRBY', load_of(account), 'held_ms', cost)
    admit(account, most)
end
return load
