-- The atomic steps of a run's life. Each function between "-- name:" lines is registered as a script of its own.
-- Arguments are named in the Python that calls it (runs.py, sessions.py, slots.py and so on).

-- name: accept
-- Deduplicate and enqueue, or change nothing at all.
local event, message, run, queue, thread, stream, paused, crowd = unpack(KEYS)
local id, seen_life, run_life, session_life, name, most, most_of_all, decided_by = unpack(ARGV)
local earlier = redis.call('GET', message) or (event ~= message and redis.call('GET', event))
local waiting = redis.call('LLEN', queue)
if earlier == id then
  -- The connection broke before the answer came, and the client sent the same script again.
  local others = redis.call('ZCARD', crowd)
  if redis.call('EXISTS', run) == 1 then
    return {'accepted', id, math.max(waiting - 1, 0), math.max(others - 1, 0), redis.call('HGET', run, 'answers')}
  end
  return {waiting >= tonumber(most) and 'full' or 'crowded', '', waiting, others, ''}
end
local decides = decided_by ~= '' and redis.call('EXISTS', paused) == 1
if decides then
  local by = redis.call('HGET', paused, 'decided_by')
  if by then return {'decided', by, 0, 0, ''} end
end
if earlier then
  -- What follows from its being an answer may still be to do: the first delivery can have failed behind this script.
  local answers = redis.call('HGET', string.sub(run, 1, -#id - 1) .. earlier, 'answers')
  return {'duplicate', earlier, 0, 0, answers or ''}
end
local time = redis.call('TIME')
local now = tonumber(time[1])
-- Runs whose records have run out wait no longer, whatever became of them. Nothing may be written before SET: a full
-- server refuses a script's first write only.
local oldest = now - run_life / 1000
local others = redis.call('ZCOUNT', crowd, oldest, '+inf')
local refusal = nil
if waiting >= tonumber(most) then
  refusal = {'full', '', waiting, others, ''}
elseif others >= tonumber(most_of_all) then
  refusal = {'crowded', '', waiting, others, ''}
end
-- Who was refused may click or command again; a message has a twin and redeliveries, which have to stay silent.
if refusal and event == message then return refusal end
redis.call('SET', message, id, 'PX', seen_life)
redis.call('SET', event, id, 'PX', seen_life)
if refusal then return refusal end
redis.call('HSET', run, unpack(ARGV, 9))
-- Its place among those who wait for a slot is that of now, or of when it comes to the head of its thread (`finish`).
if waiting == 0 then redis.call('HSET', run, 'waits_since', string.format('%d.%06d', time[1], time[2])) end
-- Should the thread be moved before its turn, it goes on where the one before it was.
local before, moves = redis.call('LINDEX', queue, -1), redis.call('HGET', thread, 'moves')
if before then redis.call('HSET', run, 'after', before) end
if moves then redis.call('HSET', run, 'moves', moves) end
if decides then
  redis.call('HSET', paused, 'decided_by', decided_by, 'decided_at', now, 'decided_run', id)
end
redis.call('PEXPIRE', run, run_life)
redis.call('RPUSH', queue, id)
redis.call('PEXPIRE', queue, run_life)
-- A command's thread does not exist yet; `open_thread` remembers the one that comes of it.
if session_life ~= '0' then
  redis.call('HSET', thread, 'last', id)
  redis.call('PEXPIRE', thread, session_life)
end
if waiting == 0 then
  redis.call('XADD', stream, '*', 'thread', name)
  redis.call('PEXPIRE', stream, run_life)
end
redis.call('ZREMRANGEBYSCORE', crowd, '-inf', '(' .. oldest)
redis.call('ZADD', crowd, now, id)
redis.call('PEXPIRE', crowd, run_life)
return {'accepted', id, waiting, others, redis.call('HGET', run, 'answers')}

-- name: take
-- Lease a thread: the fencing token and the run at its head. Token 0: somebody else holds it.
local lease, fence, queue = unpack(KEYS)
local life, fence_life = unpack(ARGV)
if redis.call('EXISTS', lease) == 1 then return {0, ''} end
local token = redis.call('INCR', fence)
redis.call('PEXPIRE', fence, fence_life)
redis.call('SET', lease, token, 'PX', life)
return {token, redis.call('LINDEX', queue, 0) or ''}

-- name: claim
-- Threads whose workers were silent for a lease's life, and their stream entries, go to this one. Silent is who might have
-- been heard: where this one has not looked for long either, since the server was away or hung, all first get a lease's
-- life to be heard again. Answers when it looked, when that life ends, where to look on, and the entries.
local stream = KEYS[1]
local group, consumer, life, from, count, looked_at, not_before = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if looked_at ~= '0' and now - looked_at > life * 2 / 3 then not_before = now + life end
if now < tonumber(not_before) then return {now, tonumber(not_before), from, {}} end
local found = redis.call('XAUTOCLAIM', stream, group, consumer, life, from, 'COUNT', count)
return {now, tonumber(not_before), found[1], found[2]}

-- name: beat
-- Renew the lease and the claim on the stream entry. Answers who wants the run stopped and who waits behind it.
-- A lease that ran out while nobody could take it (the server was away) is taken again; the entry proves the right.
local lease, stream, run, queue = unpack(KEYS)
local token, life, group, consumer, entry = unpack(ARGV)
local holder = redis.call('GET', lease)
-- pcall: a stream that is gone (somebody emptied the store) proves nothing and is no reason to fail for ever.
if not holder and #redis.pcall('XPENDING', stream, group, entry, entry, 1, consumer) > 0 then holder = token end
if holder ~= token then return {0, '', {}} end
redis.call('SET', lease, token, 'PX', life)
redis.pcall('XCLAIM', stream, group, consumer, 0, entry, 'JUSTID')
return {1, redis.call('HGET', run, 'stop_by') or '', redis.call('LRANGE', queue, 1, -1)}

-- name: save
-- Write fields of a run's record, if the writer still holds the lease of its thread. A record that has run out
-- stays gone: half of one would never run out. With a third key the run waits no longer. Renews the lease.
local lease, run, crowd = unpack(KEYS)
local token, id, run_life, lease_life = unpack(ARGV)
if redis.call('GET', lease) ~= token then return 0 end
redis.call('PEXPIRE', lease, lease_life)
if redis.call('EXISTS', run) == 1 then
  redis.call('HSET', run, unpack(ARGV, 5))
  redis.call('PEXPIRE', run, run_life)
end
if crowd then redis.call('ZREM', crowd, id) end
return 1

-- name: wrote_late
-- A worker that had lost its lease wrote to the reply all the same. 1: the run is over, and the worker has to put its
-- end there again; 0: whoever has the run does so at its end.
local run = KEYS[1]
local state = redis.call('HGET', run, 'state')
if not state then return 0 end
if state ~= 'queued' and state ~= 'running' then return 1 end
redis.call('HSET', run, 'late', '1')
return 0

-- name: end_waiting
-- The final state of a run that waits behind the lease's own: it leaves the queue. 2: see `finish`.
local lease, queue, run, crowd = unpack(KEYS)
local token, id, run_life = unpack(ARGV)
if redis.call('GET', lease) ~= token then return 0 end
if redis.call('HDEL', run, 'late') == 1 then return 2 end
if redis.call('EXISTS', run) == 1 then
  redis.call('HSET', run, unpack(ARGV, 4))
  redis.call('PEXPIRE', run, run_life)
end
redis.call('LREM', queue, 0, id)
redis.call('ZREM', crowd, id)
return 1

-- name: finish
-- The final state of a run; the thread goes to its next run, or rests. Without fields the run is handed over.
-- 2: somebody wrote to the reply late; the end has to be written there again before the run may finish.
local lease, queue, run, stream, crowd = unpack(KEYS)
local token, group, entry, name, id, run_life, run_prefix = unpack(ARGV)
-- The connection broke before the answer came, and the client sent the same script again.
if redis.call('HGET', run, 'left_by') == token then return 1 end
if redis.call('GET', lease) ~= token then return 0 end
if #ARGV > 7 and redis.call('HDEL', run, 'late') == 1 then return 2 end
local known = redis.call('EXISTS', run) == 1
if known then redis.call('HSET', run, 'left_by', token) end
if known and #ARGV > 7 then
  redis.call('HSET', run, unpack(ARGV, 8))
  redis.call('PEXPIRE', run, run_life)
end
-- A run whose record has run out must leave the queue too, or the thread would be taken up for it again and again.
if #ARGV > 7 or not known then
  redis.call('LREM', queue, 0, id)
  redis.call('ZREM', crowd, id)
end
redis.call('XACK', stream, group, entry)
redis.call('XDEL', stream, entry)
redis.call('DEL', lease)
local head = redis.call('LINDEX', queue, 0)
if head then
  local time = redis.call('TIME')
  -- Half a record would never run out.
  if redis.call('EXISTS', run_prefix .. head) == 1 then
    redis.call('HSETNX', run_prefix .. head, 'waits_since', string.format('%d.%06d', time[1], time[2]))
  end
  redis.call('XADD', stream, '*', 'thread', name)
  redis.call('PEXPIRE', stream, run_life)
end
return 1

-- name: open_thread
-- A command's root message is posted: its run moves from the nameless thread to the one the root opened.
local lease, queue, run, stream, new_queue, new_thread, message = unpack(KEYS)
local token, group, entry, new_name, id, thread_ts, run_life, session_life, seen_life = unpack(ARGV)
if redis.call('GET', lease) ~= token then return 0 end
-- The post of the root has arrived; that of the reply is yet to come.
redis.call('HSET', run, 'thread_ts', thread_ts, 'posting', '0')
redis.call('PEXPIRE', run, run_life)
redis.call('SET', message, id, 'PX', seen_life)
redis.call('DEL', queue, lease)
redis.call('XACK', stream, group, entry)
redis.call('XDEL', stream, entry)
redis.call('HSET', new_thread, 'last', id)
redis.call('PEXPIRE', new_thread, session_life)
redis.call('RPUSH', new_queue, id)
redis.call('PEXPIRE', new_queue, run_life)
if redis.call('LLEN', new_queue) == 1 then
  redis.call('XADD', stream, '*', 'thread', new_name)
else
  redis.call('HDEL', run, 'waits_since')
end
redis.call('PEXPIRE', stream, run_life)
return 1

-- name: stop
-- Ask for a run to stop; only the first to ask is remembered, and only while it is not over.
local run = KEYS[1]
local state = redis.call('HGET', run, 'state')
if state ~= 'queued' and state ~= 'running' then return state or '' end
redis.call('HSETNX', run, 'stop_by', ARGV[1])
return 'stopping'

-- name: bind
-- A thread's agent and session; a thread without gets these. One step: somebody may forget the session meanwhile, and
-- a key made by half of it would never run out.
local thread = KEYS[1]
local backend, agent, fresh, life = unpack(ARGV)
if redis.call('HSETNX', thread, 'backend', backend) == 1 then redis.call('HSET', thread, 'agent_id', agent) end
-- The new session is one of the asked service; a thread that was moved meanwhile wants another service's.
if redis.call('HGET', thread, 'backend') == backend then redis.call('HSETNX', thread, 'session_id', fresh) end
redis.call('PEXPIRE', thread, life)
local known = redis.call('HMGET', thread, 'backend', 'agent_id', 'session_id', 'parent_id', 'moves')
return {known[1], known[2] or '', known[3] or false, known[4] or '', known[5] or 0}

-- name: adopt
-- The session's other id and its last message, unless somebody has forgotten or moved the session meanwhile: then the
-- next question begins anew.
local thread = KEYS[1]
local backend, known, named, parent, life = unpack(ARGV)
local now = redis.call('HMGET', thread, 'backend', 'session_id')
if now[1] ~= backend or (now[2] ~= known and now[2] ~= named) then return 0 end
redis.call('HSET', thread, 'session_id', named, 'parent_id', parent)
redis.call('PEXPIRE', thread, life)
return 1

-- name: note_words
-- A run asks these words in a session that the service has yet to name.
local asked = KEYS[1]
local id, at, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', asked, '-inf', at - life / 1000)
redis.call('ZADD', asked, at, id)
redis.call('PEXPIRE', asked, life)
return 1

-- name: move
-- The thread's next question goes to another agent, in a new session. The message that says so counts once.
local thread, message = unpack(KEYS)
local backend, agent, life, seen_life = unpack(ARGV)
if not redis.call('SET', message, 'moved', 'NX', 'PX', seen_life) then return 0 end
redis.call('HDEL', thread, 'session_id', 'parent_id')
redis.call('HSET', thread, 'backend', backend, 'agent_id', agent)
redis.call('HINCRBY', thread, 'moves', 1)
redis.call('PEXPIRE', thread, life)
return 1

-- name: lose
-- The service knows a session no more: forgotten, unless the thread has another one by now.
local thread = KEYS[1]
local backend, session = unpack(ARGV)
local now = redis.call('HMGET', thread, 'backend', 'session_id')
if now[1] ~= backend or now[2] ~= session then return 0 end
redis.call('HDEL', thread, 'session_id', 'parent_id')
return 1

-- name: forget_workers
-- Drop consumers that left nothing behind and have not been heard of for long; every start of a worker makes one.
local stream = KEYS[1]
local group, idle = ARGV[1], tonumber(ARGV[2])
local dropped = 0
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local consumer = {}
  for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
  if consumer.pending == 0 and consumer.idle > idle then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
    dropped = dropped + 1
  end
end
return dropped

-- name: slot
-- A slot of an agent, or the place in its queue (1 is next). First come, first served; who stops asking is dropped.
-- A run comes with the time since when it waits, and has the same place whoever works on it.
-- A member "holder|2|agent" is of an agent that may have two of the slots at most. While it has them, its next ones are
-- passed over and keep their places. The whole queue is walked only while there are such members.
local held, waiting, alive, shares = unpack(KEYS)
local member, limit, life, seize = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local arrival = ARGV[5] ~= '0' and tonumber(ARGV[5]) or time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
redis.call('ZREMRANGEBYSCORE', shares, '-inf', now)
if string.find(member, '|', 1, true) then redis.call('ZADD', shares, now + life, member) end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', now)) do
  redis.call('ZREM', waiting, gone)
  redis.call('ZREM', alive, gone)
end
local place = 0
if not seize and not redis.call('ZSCORE', held, member) then
  redis.call('ZADD', waiting, 'NX', arrival, member)
  local ahead, of_agent = redis.call('ZRANK', waiting, member), {}
  -- How many runs of its agent have to end before this one may have a slot. It counts for those after it.
  local function behind(one)
    local own, agent = string.match(one, '^[^|]*|(%d+)|(.+)$')
    if not agent then return 0 end
    of_agent[agent] = (of_agent[agent] or 0) + 1
    return math.max(of_agent[agent] - tonumber(own), 0)
  end
  if redis.call('ZCARD', shares) > 0 then
    for _, holder in ipairs(redis.call('ZRANGE', held, 0, -1)) do behind(holder) end
    for _, one in ipairs(redis.call('ZRANGE', waiting, 0, ahead)) do
      if one ~= member and behind(one) > 0 then ahead = ahead - 1 end
    end
  end
  place = math.max(ahead - (limit - redis.call('ZCARD', held)) + 1, behind(member), 0)
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

-- name: rate
-- One call of Slack's budget for a process, or how long until it may ask again. Of all that are due the most urgent one
-- goes first, and of those who has waited longest, whichever replica is quicker to ask. One that does not come when it
-- is due is waited for no longer than a process takes to look again.
local lane, soon, grace, heard = KEYS[1], 20, 250, 5000
local me, rank, waiting = ARGV[2], tonumber(ARGV[6]), tonumber(ARGV[8])
local gap, usable, step, waited = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] * 1000 + time[2] / 1000
local flat, state, others, after = redis.call('HGETALL', lane), {}, 0, 0
for i = 1, #flat, 2 do state[flat[i]] = flat[i + 1] end
local arrival, last = tonumber(state.arrival or 0), tonumber(state.last or 0)
local closed, slowed = tonumber(state.closed or 0), tonumber(state.slowed or 1)
local ready, since = math.max(now, closed, arrival - usable, last + step), now - waited
for name, told in pairs(state) do
  local its_rank, its_since, its_ready, its_waiting, told_at = told:match('^(%S+) (%S+) (%S+) (%S+) (%S+)$')
  if its_rank and name ~= me then
    local due, is_late = tonumber(its_ready), now > tonumber(its_ready) + grace
    if not is_late and due <= now + soon then
      local r, s = tonumber(its_rank), tonumber(its_since)
      if r < rank or (r == rank and s < since) then after = math.max(after, due + grace - now) end
    end
    if is_late and now > told_at + heard then
      redis.call('HDEL', lane, name)
    else
      others = others + its_waiting
    end
  end
end
local granted = 0
-- Half a millisecond is what the times lose on their way.
if ready <= now + 0.5 and after == 0 then
  granted, arrival, last, waiting = 1, math.max(now, arrival) + gap, now, waiting - 1
  redis.call('HSET', lane, 'arrival', string.format('%.3f', arrival), 'last', string.format('%.3f', last))
  -- Who is next here waits from now on.
  rank, since = tonumber(ARGV[9]), now - ARGV[10]
  ready = math.max(arrival - usable, last + step)
end
if waiting > 0 then
  redis.call('HSET', lane, me, string.format('%d %.3f %.3f %d %.3f', rank, since, ready, waiting, now))
else
  redis.call('HDEL', lane, me)
end
-- A lane that was slowed down is as good as new ten minutes after its refusal.
redis.call('PEXPIRE', lane, math.ceil(math.max(arrival, closed, now) - now + 600000))
local found = {granted, math.ceil(after * 1000), others}
for i, value in ipairs({arrival - now, last - now, closed - now}) do found[i + 3] = math.floor(value * 1000) end
found[7] = math.floor(slowed * 1000000)
return found

-- name: rate_look
-- How a lane stands.
local state = redis.call('HMGET', KEYS[1], 'arrival', 'last', 'closed', 'slowed')
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] * 1000 + time[2] / 1000
local found = {}
for i = 1, 3 do found[i] = math.floor((tonumber(state[i] or 0) - now) * 1000) end
found[4] = math.floor(tonumber(state[4] or 1) * 1000000)
return found

-- name: rate_close
-- Slack answered 429: nobody calls for so long, then without a burst, and more slowly for a while. What was refused
-- together counts once.
local lane = KEYS[1]
local seconds, burst, slower, slowest, recovery = unpack(ARGV, 2)
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] * 1000 + time[2] / 1000
local state = redis.call('HMGET', lane, 'arrival', 'last', 'closed', 'slowed')
local arrival, last = tonumber(state[1] or 0), tonumber(state[2] or 0)
local closed, slowed = tonumber(state[3] or 0), tonumber(state[4] or 1)
if now >= closed then
  local pace = math.min(1, slowed + (now - closed) / recovery)
  slowed = math.max(tonumber(slowest), pace * slower)
end
closed = math.max(closed, now + seconds)
arrival = math.max(arrival, closed + burst)
redis.call('HSET', lane, 'arrival', string.format('%.3f', arrival), 'closed', string.format('%.3f', closed))
redis.call('HSET', lane, 'slowed', string.format('%.6f', slowed))
redis.call('PEXPIRE', lane, math.ceil(arrival - now + recovery))
local found = {}
for i, value in ipairs({arrival - now, last - now, closed - now}) do found[i] = math.floor(value * 1000) end
found[4] = math.floor(slowed * 1000000)
return found

-- name: rate_tell
-- A process tells how many of its answers live on which method; what the others told, if they still live.
local told = KEYS[1]
local me, counts, life = ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] * 1000 + time[2] / 1000
if counts == '' then redis.call('HDEL', told, me) else redis.call('HSET', told, me, math.floor(now) .. ' ' .. counts) end
redis.call('PEXPIRE', told, life)
local flat, found = redis.call('HGETALL', told), {}
for i = 1, #flat, 2 do
  local at, others = flat[i + 1]:match('^(%d+) (.*)$')
  if now > at + life then
    redis.call('HDEL', told, flat[i])
  elseif flat[i] ~= me then
    found[#found + 1] = others
  end
end
return found

-- name: stop_target
-- The run that a message "stop" means: the one under way when it was first seen, if its author may stop that, else
-- the newest they have waiting and not stopped yet. Its twin and redeliveries mean the same one, never the next, and
-- only the first of them is told when there is none. Whose run is in the way is told, too.
local message, queue, thread = unpack(KEYS)
local life, addressed, user, rank, run_prefix = unpack(ARGV)
if addressed == '0' and redis.call('EXISTS', thread) == 0 then return {'', '', 0} end
local earlier = redis.call('GET', message)
if earlier then return {earlier, '', 0} end
local runs = redis.call('LRANGE', queue, 0, -1)
local target, owner = '', ''
if #runs > 0 then
  owner = redis.call('HGET', run_prefix .. runs[1], 'user') or ''
  if rank == 'admin' or owner == user then
    target, owner = runs[1], ''
  elseif rank == 'unknown' then
    return {'', owner, 1}
  else
    for i = #runs, 2, -1 do
      local known = redis.call('HMGET', run_prefix .. runs[i], 'user', 'stop_by')
      if known[1] == user and not known[2] then
        target, owner = runs[i], ''
        break
      end
    end
  end
end
redis.call('SET', message, target, 'PX', life)
return {target, owner, 1}

-- name: paused_in
-- Whether the bot answers in a thread, and its last run if that is paused.
local last = redis.call('HGET', KEYS[1], 'last')
if not last then return {redis.call('EXISTS', KEYS[1]), ''} end
if redis.call('HGET', ARGV[1] .. last, 'state') ~= 'paused' then last = '' end
return {1, last}

-- name: answer
-- A paused run is answered with a question of its own; from now on nobody decides it. 0: somebody has already.
local run, by = KEYS[1], ARGV[1]
if redis.call('EXISTS', run) == 0 or redis.call('HSETNX', run, 'decided_by', by) == 0 then return 0 end
redis.call('HSET', run, 'decided_at', redis.call('TIME')[1])
return 1

-- name: keep_opinion
-- Keep a rating or a comment with a run, if its record is still there.
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1

-- name: count_usage
-- Add what a run has cost, and was not counted before, to the sums of a day; the estimated part apart as well.
local run, day = unpack(KEYS)
local characters, estimated, life = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
if redis.call('EXISTS', run) == 0 then return 0 end
local before = redis.call('HMGET', run, 'counted', 'counted_estimated')
local more = characters - tonumber(before[1] or '0')
local more_estimated = estimated - tonumber(before[2] or '0')
if not before[1] then redis.call('HINCRBY', day, 'runs', 1) end
redis.call('HSET', run, 'counted', characters, 'counted_estimated', estimated)
for i = 4, #ARGV do
  if more ~= 0 then redis.call('HINCRBY', day, ARGV[i], more) end
  if more_estimated ~= 0 then redis.call('HINCRBY', day, '~' .. ARGV[i], more_estimated) end
end
redis.call('PEXPIRE', day, life)
return 1
