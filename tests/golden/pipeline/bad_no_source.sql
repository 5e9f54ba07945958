SET pipeline = 'test';
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host 'postgres');
