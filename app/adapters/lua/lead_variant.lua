-- Takes the lead in making a variant, or keeps it. Begins with variants.lua.
--
-- ARGV      key, who, milliseconds of the lease
-- Returns   1, or 0 where another has it
local lease = lease_of(ARGV[1])
if redis.call('SET', lease, ARGV[2], 'NX', 'PX', ARGV[3]) then
    return 1
end
if redis.call('GET', lease) == ARGV[2] then
    return redis.call('PEXPIRE', lease, ARGV[3])
end
return 0
