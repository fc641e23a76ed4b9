-- The atomic steps of a run's life. Each function between "-- name:" lines is registered as a script of its own.
-- Arguments are named in the Python that calls it (runs.py, slots.py).

-- name: accept
-- Deduplicate and enqueue, or change nothing at all.
local event, message, run, queue, thread, stream = unpack(KEYS)
local id, seen_life, run_life, session_life, name, mention, most = unpack(ARGV)
local earlier = redis.call('GET', message) or (event ~= message and redis.call('GET', event))
if earlier then
  -- The twin that says "mentioned" may come second; what it knows is kept.
  if mention == '1' and redis.call('EXISTS', run) == 1 then redis.call('HSET', run, 'mention', '1') end
  return {'duplicate', earlier, 0}
end
redis.call('SET', message, id, 'PX', seen_life)
redis.call('SET', event, id, 'PX', seen_life)
local waiting = redis.call('LLEN', queue)
if waiting >= tonumber(most) then return {'full', '', waiting} end
redis.call('HSET', run, 'mention', mention, unpack(ARGV, 8))
redis.call('PEXPIRE', run, run_life)
redis.call('RPUSH', queue, id)
redis.call('PEXPIRE', queue, run_life)
redis.call('HSETNX', thread, 'since', id)
redis.call('PEXPIRE', thread, session_life)
if waiting == 0 then
  redis.call('XADD', stream, '*', 'thread', name)
  redis.call('PEXPIRE', stream, run_life)
end
return {'accepted', id, waiting}

-- name: take
-- Lease a thread: the fencing token and the run at its head. Token 0: somebody else holds it.
local lease, fence, queue = unpack(KEYS)
local life, fence_life = unpack(ARGV)
if redis.call('EXISTS', lease) == 1 then return {0, ''} end
local token = redis.call('INCR', fence)
redis.call('PEXPIRE', fence, fence_life)
redis.call('SET', lease, token, 'PX', life)
return {token, redis.call('LINDEX', queue, 0) or ''}

-- name: beat
-- Renew the lease and the claim on the stream entry. Answers who wants the run stopped and who waits behind it.
-- A lease that ran out while nobody could take it (the server was away) is taken again; the entry proves the right.
local lease, stream, run, queue = unpack(KEYS)
local token, life, group, consumer, entry = unpack(ARGV)
local holder = redis.call('GET', lease)
if not holder and #redis.call('XPENDING', stream, group, entry, entry, 1, consumer) > 0 then holder = token end
if holder ~= token then return {0, '', {}} end
redis.call('SET', lease, token, 'PX', life)
redis.call('XCLAIM', stream, group, consumer, 0, entry, 'JUSTID')
return {1, redis.call('HGET', run, 'stop_by') or '', redis.call('LRANGE', queue, 1, -1)}

-- name: save
-- Write fields of a run's record, if the writer still holds the lease of its thread.
local lease, run = unpack(KEYS)
if redis.call('GET', lease) ~= ARGV[1] then return 0 end
redis.call('HSET', run, unpack(ARGV, 2))
return 1

-- name: finish
-- The final state of a run; the thread goes to its next run, or rests.
local lease, queue, run, stream = unpack(KEYS)
local token, group, entry, name, id, run_life = unpack(ARGV)
if redis.call('GET', lease) ~= token then return 0 end
if id ~= '' then
  redis.call('HSET', run, unpack(ARGV, 7))
  redis.call('PEXPIRE', run, run_life)
  redis.call('LREM', queue, 1, id)
end
redis.call('XACK', stream, group, entry)
redis.call('XDEL', stream, entry)
redis.call('DEL', lease)
if redis.call('LLEN', queue) > 0 then
  redis.call('XADD', stream, '*', 'thread', name)
  redis.call('PEXPIRE', stream, run_life)
end
return 1

-- name: open_thread
-- A command's root message is posted: its run moves from the nameless thread to the one the root opened.
local lease, queue, run, stream, new_queue, new_thread, message = unpack(KEYS)
local token, group, entry, new_name, id, thread_ts, run_life, session_life, seen_life = unpack(ARGV)
if redis.call('GET', lease) ~= token then return 0 end
redis.call('HSET', run, 'thread_ts', thread_ts)
redis.call('SET', message, id, 'PX', seen_life)
redis.call('DEL', queue, lease)
redis.call('XACK', stream, group, entry)
redis.call('XDEL', stream, entry)
redis.call('HSETNX', new_thread, 'since', id)
redis.call('PEXPIRE', new_thread, session_life)
redis.call('RPUSH', new_queue, id)
redis.call('PEXPIRE', new_queue, run_life)
if redis.call('LLEN', new_queue) == 1 then redis.call('XADD', stream, '*', 'thread', new_name) end
redis.call('PEXPIRE', stream, run_life)
return 1

-- name: stop
-- Ask for a run to stop; only the first to ask is remembered, and only while it is not over.
local run = KEYS[1]
local state = redis.call('HGET', run, 'state')
if state ~= 'queued' and state ~= 'running' then return state or '' end
redis.call('HSETNX', run, 'stop_by', ARGV[1])
return 'stopping'

-- name: slot
-- A slot of an agent, or the place in its queue (1 is next). First come, first served; who stops asking is dropped.
local held, waiting, alive = unpack(KEYS)
local member, limit, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', now)) do
  redis.call('ZREM', waiting, gone)
  redis.call('ZREM', alive, gone)
end
local place = 0
if not redis.call('ZSCORE', held, member) then
  redis.call('ZADD', waiting, 'NX', now, member)
  local ahead = redis.call('ZRANK', waiting, member) - (limit - redis.call('ZCARD', held))
  if ahead >= 0 then place = ahead + 1 end
end
if place == 0 then
  redis.call('ZREM', waiting, member)
  redis.call('ZREM', alive, member)
  redis.call('ZADD', held, now + life, member)
else
  redis.call('ZADD', alive, now + life, member)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, life * 4) end
return place
