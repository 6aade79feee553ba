; The two outer levels of keys.
(document (object (pair key: (string) @name) @definition.property))
(document (object (pair value: (object (pair key: (string) @name) @definition.property))))
