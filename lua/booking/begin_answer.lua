#!lua
-- Claims an Idempotency-Key for a request, or tells what became of the first request that used it.
--
-- KEYS[1] hash: the answer under this key: body, and once there is one status and answer
-- ARGV[1] SHA-256 of the request's body, in hex
-- ARGV[2] after how long a claim without an answer is void, ms
--
-- Answers: 'new'; 'reused' (the first request had another body); 'in-flight'; 'answered' status, answer.
-- Cost: O(1).

local key = KEYS[1]

local told = redis.call('HMGET', key, 'body', 'status', 'answer')
if not told[1] then
  redis.call('HSET', key, 'body', ARGV[1])
  redis.call('PEXPIRE', key, ARGV[2])
  return {'new'}
end
if told[1] ~= ARGV[1] then
  return {'reused'}
end
if not told[2] then
  return {'in-flight'}
end
return {'answered', told[2], told[3]}
