#!lua flags=allow-oom
-- Keeps a copy of a balance, unless a newer one is there: answers of Postgres may arrive in any order.
--
-- KEYS[1] hash: the copy, balance and version
-- ARGV[1] balance, points
-- ARGV[2] version of the account
-- ARGV[3] how long the copy stays, ms
--
-- Answers: 'older' (what is there is as new or newer); 'written'.
-- Cost: O(1).

local copy = KEYS[1]
local balance, version, keep_ms = ARGV[1], ARGV[2], ARGV[3]

local known = redis.call('HGET', copy, 'version')
if known and tonumber(known) >= tonumber(version) then
  return {'older'}
end
redis.call('HSET', copy, 'balance', balance, 'version', version)
redis.call('PEXPIRE', copy, keep_ms)
return {'written'}
