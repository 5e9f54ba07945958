SET pipeline = 'test';
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (
	host '${NO_SUCH_HOST}',
	password 'prefix-${NO_SUCH_PASSWORD}');
