#!lua flags=no-writes
-- Looks along the line, a stretch at a time: who stands in it, with which numbers.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: aside, userId → number
-- KEYS[4] zset: pending, login attempt → number
-- ARGV[1] incarnation
-- ARGV[2] the number behind which to begin, or '-inf'
-- ARGV[3] how many of each to tell at most
--
-- Answers: 'lost'; 'recovering' (positions are unknown) or 'line', both with: in line in all; waiting, aside and pending
-- in order, each with its number.
-- Cost: O(log n) in the line, and O(ARGV[3]).

local room, waiting, aside, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local told = redis.call('HMGET', room, 'incarnation', 'recoverUntil')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local after = ARGV[2] == '-inf' and '-inf' or '(' .. ARGV[2]
local function stretch(line)
  return redis.call('ZRANGEBYSCORE', line, after, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
end

local in_line = redis.call('ZCARD', waiting) + redis.call('ZCARD', aside) + redis.call('ZCARD', pending)
return {now < tonumber(told[2]) and 'recovering' or 'line', in_line, stretch(waiting), stretch(aside), stretch(pending)}
