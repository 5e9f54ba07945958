SET pipeline = 'test';
SET commit_interval_ms = '5;
