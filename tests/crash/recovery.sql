-- recovery.sql - for each kind of victim: kills|p50|p99|slowest, in ms, from the kill until the first
-- transaction that the source committed after it was committed in the target. Kills that were followed
-- at once by another are left out.
CREATE INDEX ON truth (committed);
SELECT victim, count(*),
    round(percentile_disc(0.5) WITHIN GROUP (ORDER BY ms)),
    round(percentile_disc(0.99) WITHIN GROUP (ORDER BY ms)), round(max(ms))
FROM (
    SELECT victim, 1000 * (extract(epoch FROM (
        SELECT min(pg_xact_commit_timestamp(k.xmin)) FROM tick k WHERE k.diff = 1 AND k.n >= (
            SELECT min(n) FROM truth WHERE committed > to_timestamp(at)))) - at) AS ms
      FROM kills WHERE alone) r
WHERE ms IS NOT NULL GROUP BY victim ORDER BY victim;
