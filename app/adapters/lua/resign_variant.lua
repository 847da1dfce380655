-- Gives up the lead in making a variant, and wakes those who wait. Begins with variants.lua.
--
-- ARGV      key, who
if redis.call('GET', lease_of(ARGV[1])) == ARGV[2] then
    redis.call('DEL', lease_of(ARGV[1]))
    tell_end(ARGV[1])
end
