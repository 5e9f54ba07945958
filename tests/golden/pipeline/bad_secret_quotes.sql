SET pipeline = 'test';
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (
	"user 'x', password 'hidden', host 'y');
