#!lua
-- Takes a number for a login whose password is not yet checked.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: pending, login attempt → number
-- KEYS[3] zset: waiting, userId → number
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[6] string: what became of the attempt: '?' while it is being checked
-- ARGV[1] incarnation
-- ARGV[2] attempt
-- ARGV[3] how long the attempt is remembered, ms
-- ARGV[4] how long it keeps its number unless renewed, ms
-- ARGV[5] the draw that the caller believes is on, '' for none
-- ARGV[6] the number that the account which it claims to be draws in it
--
-- Answers: 'lost'; 'closed'; 'full'; 'draws' the draw that is on; 'pending' number, position (0 while the room recovers),
-- in line in all.
-- Cost: O(log n) in the line.

local room, pending, waiting, aside, grace, fate = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local attempt, life_ms, lease_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local told = redis.call('HMGET', room, 'incarnation', 'state', 'queueLimit', 'epoch', 'closesAt', 'recoverUntil',
  'opensAt', 'drawId')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if told[2] == 'closed' or told[2] == 'draining' or now >= tonumber(told[5]) then
  return {'closed'}
end
local in_line = redis.call('ZCARD', waiting) + redis.call('ZCARD', pending)
if in_line >= tonumber(told[3]) then
  return {'full'}
end
local draws = now < tonumber(told[7]) and told[8] or ''
if draws ~= ARGV[5] then
  return {'draws', draws}
end
-- A login that comes while the room draws has its account's number at once, so it overtakes nobody when it is checked.
local number = draws ~= '' and tonumber(ARGV[6])
  or tonumber(told[4]) * 4294967296 + redis.call('HINCRBY', room, 'lastNumber', 1)
redis.call('HINCRBY', room, 'joined', 1)
redis.call('SET', fate, '?', 'PX', life_ms)
redis.call('ZADD', grace, now + lease_ms, attempt)
redis.call('ZADD', pending, number, attempt)
local beside = redis.call('ZCARD', aside)
local all = in_line + beside + 1
return {'pending', string.format('%.0f', number), now < tonumber(told[6]) and 0 or all, all}
