#!lua flags=allow-oom
-- Keeps the answer to the request that claimed an Idempotency-Key, or gives the claim up.
--
-- KEYS[1] hash: the answer under this key: body, status, answer
-- ARGV[1] SHA-256 of the request's body, in hex
-- ARGV[2] status, 0 to give the claim up
-- ARGV[3] answer
-- ARGV[4] how long it is kept, ms
--
-- Answers: 'given-up'; 'kept'.
-- Cost: O(1).

local key = KEYS[1]

if ARGV[2] == '0' then
  redis.call('DEL', key)
  return {'given-up'}
end
redis.call('HSET', key, 'body', ARGV[1], 'status', ARGV[2], 'answer', ARGV[3])
redis.call('PEXPIRE', key, ARGV[4])
return {'kept'}
