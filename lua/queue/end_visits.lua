#!lua flags=allow-oom
-- Ends visits past their time, recalls the offer of those never claimed, and gives up places kept too long.
--
-- While no process called this, none heard anybody either. After such a time, as after a loss, nobody is let in, set aside,
-- or ended for their silence until all who are there could ask again.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: present, userId → until when it counts as present, ms
-- KEYS[3] zset: aside, userId → number
-- KEYS[4] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[5] hash: visits, userId → number and how far the visit is
-- KEYS[6] zset: active, userId → end of visit, ms
-- KEYS[7] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[8] zset: pending, login attempt → number
-- KEYS[9] zset: left, userId → when it left, ms
-- KEYS[10] zset: returned, userId → when it came back with an earlier epoch's number, or ended, ms
-- KEYS[11] zset: paid, userId → when it last paid, ms
-- KEYS[12] zset: phones, userId → until when it is remembered that it came by phone, ms
-- KEYS[13] zset: waiting, userId → number
-- ARGV[1] incarnation
-- ARGV[2] how many of each kind to end at most
-- ARGV[3] how long a token lives: what was noted longer ago matters to none, ms
--
-- Answers: 'lost'; 'ended' visits over, visits idle, visits never claimed, kept places given up.
-- Cost: O(log n) for each that ends, at most eight times ARGV[2].

local room, present, aside, grace, visits = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local active, idle, pending, left, returned, paid = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local phones, waiting, most, STOPPED_MS, BACK_MS = KEYS[12], KEYS[13], ARGV[2], 5000, 13000

local told = redis.call('HMGET', room, 'incarnation', 'graceMs', 'phoneGraceMs', 'ranAt', 'admitFrom')
if told[1] ~= ARGV[1] then return {'lost'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = tonumber(told[5])
redis.call('HSET', room, 'ranAt', string.format('%.0f', now))
if now - (told[4] or now) > STOPPED_MS then
  local there = redis.call('HLEN', visits)
  for _, line in ipairs({waiting, aside, pending}) do there = there + redis.call('ZCARD', line) end
  from = there > 0 and math.max(from, now + BACK_MS) or from
  redis.call('HSET', room, 'admitFrom', string.format('%.0f', from))
end
local function due(line, before)
  return redis.call('ZRANGEBYSCORE', line, '-inf', before, 'LIMIT', 0, most)
end
local function silent(line) return now >= from and due(line, now) or {} end
local function ended(user)
  -- Should the line be set up again, tokens from before must not bring back who had their turn.
  redis.call('ZADD', returned, now, user)
  redis.call('HINCRBY', room, 'ended', 1)
  redis.call('HDEL', visits, user)
  for _, line in ipairs({phones, idle, active}) do redis.call('ZREM', line, user) end
end

local over, idled, unclaimed = due(active, now), 0, 0
for _, user in ipairs(over) do ended(user) end
for _, user in ipairs(silent(idle)) do
  local number, phase = string.match(redis.call('HGET', visits, user) or '', '^(%S+) (%S+)')
  if phase == 'offered' then
    -- The first time it goes aside with its number; the second time it is out.
    redis.call('ZADD', grace, now + tonumber(redis.call('ZSCORE', phones, user) and told[3] or told[2]), user)
    redis.call('HSET', visits, user, number .. ' missed')
    for _, line in ipairs({idle, active}) do redis.call('ZREM', line, user) end
    unclaimed = unclaimed + 1
  else
    ended(user)
    idled = idled + 1
  end
end
local given_up = silent(grace)
for _, who in ipairs(given_up) do
  ended(who)
  for _, line in ipairs({aside, pending, present, grace}) do redis.call('ZREM', line, who) end
end
local old = now - ARGV[3]
for note, before in pairs({[left] = old, [returned] = old, [paid] = old, [phones] = now}) do
  for _, user in ipairs(due(note, before)) do redis.call('ZREM', note, user) end
end
return {'ended', #over, idled, unclaimed, #given_up}
