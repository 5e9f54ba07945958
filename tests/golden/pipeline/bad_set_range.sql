SET pipeline = 'test';
SET autocommit_duration_ms = 0;
SET commit_interval_ms = 3600001;
SET ring_bytes = 1000;
