#!lua
-- Takes a place for an account: the one it has, a visit at once where the room has room, or the next number.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: recalled, userId → number: back at an earlier place that the positions of others do not count
-- KEYS[6] hash: visits, userId → number and how far the visit is
-- KEYS[7] zset: active, userId → end of visit, ms
-- KEYS[8] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[9] zset: left, userId → when it left, ms
-- KEYS[10] zset: pending, login attempt → number
-- KEYS[11] zset: drawn, userId → number: who joined while the room drew
-- KEYS[12] zset: phones, userId → until when it is remembered that it came by phone, ms
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] '1' where it may be let in at once, else '0'
-- ARGV[4] the draw that the caller believes is on, '' for none
-- ARGV[5] the number that this account draws in it
-- ARGV[6] for how long to remember that it came by phone, ms; 0 where it does not say so
--
-- Answers: 'lost'; 'active' number, end of visit; 'kept' (it has a place aside); 'closed'; 'full'; 'draws' which draw is on;
-- 'recovering' number, in line in all; 'waiting' number, position, in line in all.
-- Cost: O(log n) in the line.

local room, waiting, present, aside, recalled, visits = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local active, idle, left, pending, drawn, phones = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local user, FIRST_NOTE_MS, EARLY_NOTE_MS, MOST_CREDIT_MS = ARGV[2], 13000, 33000, 200

local told = redis.call('HMGET', room, 'incarnation', 'state', 'capacity', 'admitPerSecond', 'bucket', 'bucketAt',
  'admitFrom', 'claimMs', 'visitMs', 'queueLimit', 'epoch', 'recoverUntil', 'opensAt', 'closesAt', 'stockVisits',
  'loadRate', 'advisedUntil', 'drawId')
if told[1] ~= ARGV[1] then return {'lost'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends, visit = redis.call('ZSCORE', active, user), redis.call('HGET', visits, user)
if ends and tonumber(ends) > now and visit then return {'active', string.match(visit, '^%S+'), ends} end
local number, phase = redis.call('ZSCORE', waiting, user), string.match(visit or '', ' (%a+)')
local kept = phase == 'missed' or phase == 'recalled' or redis.call('ZSCORE', aside, user)
if not number and kept then return {'kept'} end
local line, beside = redis.call('ZCARD', waiting), redis.call('ZCARD', aside) + redis.call('ZCARD', pending)
local first = line == 0 or number and redis.call('ZRANK', waiting, user) == 0
if not number then
  local shut = told[2] == 'closed' or told[2] == 'draining' or now >= tonumber(told[14])
  if shut or line + beside >= tonumber(told[10]) then return {shut and 'closed' or 'full'} end
  local draws = now < tonumber(told[13]) and told[18] or ''
  if draws ~= ARGV[4] then return {'draws', draws} end
  if visit and redis.call('HDEL', visits, user) == 1 then -- one that is over and not yet swept
    redis.call('HINCRBY', room, 'ended', 1)
    for _, line in ipairs({idle, active}) do redis.call('ZREM', line, user) end
  end
  number = draws ~= '' and ARGV[5] or told[11] * 4294967296 + redis.call('HINCRBY', room, 'lastNumber', 1)
  number = string.format('%.0f', number)
  if draws ~= '' then redis.call('ZADD', drawn, number, user) end
  redis.call('HINCRBY', room, 'joined', 1)
  redis.call('ZREM', left, user)
  line = line + 1
end
if tonumber(ARGV[6]) > 0 then redis.call('ZADD', phones, now + ARGV[6], user) end
local advised = now < tonumber(told[17] or 0)
local rate, most = math.min(told[4], advised and told[16] or told[4]), math.min(told[3], advised and told[15] or told[3])
local credit_ms = math.min(math.max(0, now - told[6]), MOST_CREDIT_MS) -- an empty line banks none
local bucket = math.min(rate > 0 and math.max(rate, 1) or 0, told[5] + credit_ms * rate / 1000)
if first and ARGV[3] == '1' and told[2] == 'open' and redis.call('ZCARD', recalled) == 0 and bucket >= 1
  and now >= math.max(told[7], told[13]) and now < tonumber(told[14]) and redis.call('ZCARD', active) < most then
  ends = string.format('%.0f', now + told[9])
  redis.call('HSET', visits, user, number .. ' offered')
  for line, at in pairs({[idle] = now + told[8], [active] = ends}) do redis.call('ZADD', line, at, user) end
  redis.call('HSET', room, 'bucket', string.format('%.6f', bucket - 1), 'bucketAt', string.format('%.0f', now))
  redis.call('HINCRBY', room, 'admitted', 1)
  for _, line in ipairs({present, waiting}) do redis.call('ZREM', line, user) end
  return {'active', number, ends}
end
redis.call('ZADD', waiting, number, user)
redis.call('ZADD', present, 'GT', now + (now < tonumber(told[13]) and EARLY_NOTE_MS or FIRST_NOTE_MS), user)
if now < tonumber(told[12]) then return {'recovering', number, line + beside} end
local position, before = redis.call('ZRANK', waiting, user) + 1, '(' .. number
for _, other in ipairs({aside, pending}) do position = position + redis.call('ZCOUNT', other, '-inf', before) end
return {'waiting', number, position, line + beside}
