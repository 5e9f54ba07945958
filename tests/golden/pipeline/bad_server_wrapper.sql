SET pipeline = 'test';
CREATE SERVER m FOREIGN DATA WRAPPER mysql OPTIONS (host 'x');
