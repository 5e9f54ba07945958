SET pipeline = 'test';
SET no_such = 1;
