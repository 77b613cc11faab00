#!lua flags=allow-oom
-- Sets a schedule's seats up for a new epoch, after its sold seats were restored from Postgres.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- ARGV[1] incarnation: the new one
-- ARGV[2] epoch
--
-- Answers: 'older' (the schedule is at this epoch or a later one already); 'ready'.
-- Cost: O(1).

local meta = KEYS[1]

if tonumber(redis.call('HGET', meta, 'epoch') or 0) >= tonumber(ARGV[2]) then
  return {'older'}
end
redis.call('HINCRBY', meta, 'version', 1)
redis.call('HSET', meta, 'epoch', ARGV[2], 'incarnation', ARGV[1])
return {'ready'}
