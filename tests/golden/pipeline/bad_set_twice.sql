SET pipeline = 'test';
SET pipeline = 'other';
