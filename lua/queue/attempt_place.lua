#!lua
-- Says where a login attempt stands, or what became of it.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: pending, login attempt → number
-- KEYS[3] zset: waiting, userId → number
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] string: what became of the attempt
-- ARGV[1] incarnation
-- ARGV[2] attempt
--
-- Answers: 'lost'; 'pending' position, in line in all; 'gone'; 'refused'; 'verified' userId.
-- Cost: O(log n) in the line.

local room, pending, waiting, aside, fate = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local number = redis.call('ZSCORE', pending, ARGV[2])
if number then
  local before = '(' .. number
  local position = 1
  local in_line = 0
  for _, line in ipairs({pending, waiting, aside}) do
    position = position + redis.call('ZCOUNT', line, '-inf', before)
    in_line = in_line + redis.call('ZCARD', line)
  end
  return {'pending', position, in_line}
end
local became = redis.call('GET', fate)
if not became or became == '?' then
  return {'gone'}
end
if became == '!' then
  return {'refused'}
end
return {'verified', became}
