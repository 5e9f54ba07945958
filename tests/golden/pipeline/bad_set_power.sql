SET pipeline = 'test';
SET ring_bytes = 100000;
