SET pipeline = 'test';
SET autocommit_duration_ms = 1.5;
SET commit_interval_ms = '5 s';
SET ring_bytes = '4MB';
