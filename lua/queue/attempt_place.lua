#!lua flags=no-writes
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
-- Answers: 'lost'; 'pending' position (0 while the room recovers), in line in all; 'gone'; 'left'; 'refused'; 'verified'
-- userId, number.
-- Cost: O(log n) in the line.

local room, pending, waiting, aside, fate = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local told = redis.call('HMGET', room, 'incarnation', 'recoverUntil')
if told[1] ~= ARGV[1] then
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
  local time = redis.call('TIME')
  local recovering = time[1] * 1000 + math.floor(time[2] / 1000) < tonumber(told[2])
  return {'pending', recovering and 0 or position, in_line}
end
local became = redis.call('GET', fate)
if not became or became == '?' then
  return {'gone'}
end
if became == '-' then
  return {'left'}
end
if became == '!' then
  return {'refused'}
end
return {'verified', string.match(became, '^(%S+) (%S+)$')}
