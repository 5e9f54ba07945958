SET pipeline = 'test';
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (password
	'hidden
	hidden', host 'x', client_encoding 'UTF8');
