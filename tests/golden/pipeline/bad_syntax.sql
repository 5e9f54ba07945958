SET pipeline = 'test';
CREATE SERVR kafka;
