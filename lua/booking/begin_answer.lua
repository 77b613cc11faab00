#!lua
-- Claims an Idempotency-Key for a request, or tells what became of the first request that used it.
--
-- KEYS[1] hash: the answer under this key: body, and once there is one status and answer
-- KEYS[2] string: how many keys this caller has used of late
-- ARGV[1] SHA-256 of the request's body, in hex
-- ARGV[2] after how long a claim without an answer is void, ms
-- ARGV[3] how many keys a caller may use in that time
-- ARGV[4] for how long keys are counted, ms
--
-- Answers: 'limited' when keys may be used again, ms; 'new'; 'reused' (the first request had another body); 'in-flight'; 'answered' status, answer.
-- Cost: O(1).

local key, used = KEYS[1], KEYS[2]

local told = redis.call('HMGET', key, 'body', 'status', 'answer')
if not told[1] then
  local count = redis.call('INCR', used)
  if count == 1 then
    redis.call('PEXPIRE', used, ARGV[4])
  end
  if count > tonumber(ARGV[3]) then
    return {'limited', redis.call('PTTL', used)}
  end
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
