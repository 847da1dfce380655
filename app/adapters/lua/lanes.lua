-- What the scripts of the queue have in common; their text follows this one. Needs effects replication (the default
-- since Redis 5).
--
-- A job waits and runs as an item of its lane, with its account and the milliseconds that it is expected to take:
--   held      in its account's list, while the account has as many as it may in the lanes
--   queued    in its lane's stream, delivered to nobody
--   running   in its lane's stream, pending in the group
-- A job's token is the number of times that it was claimed or handed back: it names one claim.
--
-- KEYS[1]   `{cz}:`, with which all names begin. Most depend on what a script finds, so they are made here; KEYS[1]
--           leads to the hash slot that they share.
-- string    job:ID hash of a job's record          jobs:LANE stream         jobs:held:ACCOUNT list
--           jobs:load hash of both lanes' counts   jobs:load:ACCOUNT hash   jobs:due sorted set, job id by when it goes
local root = KEYS[1]
local due_key = root .. 'jobs:due'
local load_key = root .. 'jobs:load'
local group = 'workers'
-- One for all: the record tells who has a job, and consumers named after workers would outlive these.
local consumer = 'any'

local function record_of(id)
    return root .. 'job:' .. id
end

local function stream_of(lane)
    return root .. 'jobs:' .. lane
end

local function load_of(account)
    return root .. 'jobs:load:' .. account
end

local function held_of(account)
    return root .. 'jobs:held:' .. account
end

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Puts an account's held jobs at the end of their lanes, in order, while it has fewer than `most` there.
local function admit(account, most)
    local admitted = tonumber(redis.call('HGET', load_of(account), 'admitted') or 0)
    while admitted < most do
        local held = redis.call('LPOP', held_of(account))
        if not held then
            break
        end
        local lane, cost, id = string.match(held, '^(%l+) (%d+) (.+)$')
        local stream = stream_of(lane)
        if redis.call('EXISTS', stream) == 0 then
            redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
        end
        local entry = redis.call('XADD', stream, '*', 'id', id, 'account', account, 'cost', cost)
        redis.call('HSET', record_of(id), 'entry', entry)
        redis.call('HINCRBY', load_key, lane .. ':held', -1)
        redis.call('HINCRBY', load_key, lane .. ':queued_ms', cost)
        redis.call('HINCRBY', load_of(account), 'held_ms', -cost)
        redis.call('HINCRBY', load_of(account), 'admitted_ms', cost)
        admitted = redis.call('HINCRBY', load_of(account), 'admitted', 1)
    end
    if admitted == 0 then
        redis.call('DEL', load_of(account))
    end
end

-- Takes a running job out of its lane and lets its account's next one in.
local function leave(lane, entry, most)
    local fields = redis.call('XRANGE', stream_of(lane), entry, entry)[1][2]
    local account, cost = fields[4], fields[6]
    redis.call('XACK', stream_of(lane), group, entry)
    redis.call('XDEL', stream_of(lane), entry)
    redis.call('HINCRBY', load_key, lane .. ':running_ms', -cost)
    redis.call('HINCRBY', load_of(account), 'admitted_ms', -cost)
    redis.call('HINCRBY', load_of(account), 'admitted', -1)
    admit(account, most)
end

-- Whether a claim holds still, and the entry of its job in the lane; nil for the latter where the job has ended.
local function holds(id, token)
    local found = redis.call('HMGET', record_of(id), 'token', 'entry')
    return found[1] == token, found[2] or nil
end
