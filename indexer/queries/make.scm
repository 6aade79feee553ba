; Targets and variables.
(rule (targets (word) @name)) @definition.function
(variable_assignment name: (word) @name) @definition.variable
(define_directive name: (word) @name) @definition.macro
(comment) @above
