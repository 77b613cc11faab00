#!lua flags=allow-oom
-- Keeps a copy of a balance, unless a newer one is there: answers of Postgres may arrive in any order. What another run
-- of Redis was told does not count as newer, because the last that it was told may be lost.
--
-- KEYS[1] hash: the copy: balance, version, and the run of Redis that was told it
-- ARGV[1] run of this Redis
-- ARGV[2] balance, points
-- ARGV[3] version of the account
-- ARGV[4] how long the copy stays, ms
--
-- Answers: 'older' (what is there is as new or newer); 'written'.
-- Cost: O(1).

local copy = KEYS[1]
local run, balance, version, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local known = redis.call('HMGET', copy, 'version', 'run')
if known[1] and known[2] == run and tonumber(known[1]) >= tonumber(version) then
  return {'older'}
end
redis.call('HSET', copy, 'balance', balance, 'version', version, 'run', run)
redis.call('PEXPIRE', copy, keep_ms)
return {'written'}
