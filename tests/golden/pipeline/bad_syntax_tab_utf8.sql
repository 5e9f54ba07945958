SET pipeline = 'test';
	SET "größe" =	'ä' 'b';
