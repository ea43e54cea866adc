/**
 * What one step of the lease does, run by Redis as one command: it compares and writes with nothing in between.
 * Keys: 1 the record (a hash of `version` and `text`), 2 the hold (the token, with the TTL), 3 the channel that tells
 * of writes. A version is drawn at random, so that a store that lost its data cannot come to the same one again.
 */
export const readScript = `
local kept = redis.call('HMGET', KEYS[1], 'version', 'text')
return {kept[1], kept[2], redis.call('PTTL', KEYS[2])}`;

const write = `
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'text', ARGV[2])
redis.call('PUBLISH', KEYS[3], ARGV[1])
return 1`;

/** Arguments: new version, record, version seen, and for a hold its token and TTL, ms. */
export const writeFreeScript = `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[3] then return 0 end
if ARGV[4] then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) end
${write}`;

/** Arguments: new version, record, token, what an older record is less than, and the TTL in ms for a hold that goes on. */
export const writeHeldScript = `
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
if (redis.call('HGET', KEYS[1], 'text') or '') >= ARGV[4] then return 0 end
if ARGV[5] then redis.call('PEXPIRE', KEYS[2], ARGV[5]) else redis.call('DEL', KEYS[2]) end
${write}`;

const now = `
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** Key: a hash of announcements by node, each after the time of its end. Arguments: node, text, time it counts, ms. */
export const announceScript = `${now}
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', nowMs + ARGV[3]) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;

export const announcementsScript = `${now}
local told = {}
local entries = redis.call('HGETALL', KEYS[1])
for index = 1, #entries, 2 do
  local endsMs, text = string.match(entries[index + 1], '^(%d+) (.*)$')
  if endsMs and tonumber(endsMs) > nowMs then
    told[#told + 1] = text
  else
    redis.call('HDEL', KEYS[1], entries[index])
  end
end
return told`;
