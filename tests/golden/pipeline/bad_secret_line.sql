SET pipeline = 'test';
CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (
	password 'hid''den	ä', host 'x', passwort E'hidden\'', sslpassword $$hidden$$, host 'y');
