; Attributes of Nix that are functions or sets.
(binding attrpath: (attrpath) @name expression: (function_expression)) @definition.function
(binding attrpath: (attrpath) @name expression: [(attrset_expression) (rec_attrset_expression)]) @definition.section
(comment) @above
