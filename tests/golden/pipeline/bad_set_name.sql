SET pipeline = 'Has Space';
