"""Foreign names are what PyTorch, Keras and Caffe call our parts and keys; an error then says what cnntrain calls them.

They are never accepted in place of ours: a key that means the same in two programs rarely has the same default.
"""

from __future__ import annotations

from collections.abc import Container

from cnntrain.core.registry import nearest

_ALIKE = 0.8  # how near a misspelling must be to what was meant: there are many foreign names to be near to
_TYPES = {
    "layers": {
        "conv2d": "Conv2d Conv2D Convolution Convolution2D conv convolution conv2D",
        "max_pool2d": "MaxPool2d MaxPooling2D MaxPool maxpool max_pool max_pooling2d",
        "avg_pool2d": "AvgPool2d AveragePooling2D AvgPool avgpool avg_pool average_pooling2d mean_pool2d",
        "global_avg_pool": "GlobalAveragePooling2D GlobalAvgPool2d GlobalAveragePooling gap",
        "dense": "Linear linear InnerProduct inner_product Dense fc fully_connected FullyConnected",
        "flatten": "Flatten",
        "depthwise_conv2d": "DepthwiseConv2D ConvolutionDepthwise depthwise_conv depthwise",
        "conv_transpose2d": "ConvTranspose2d Conv2DTranspose Deconvolution deconv deconv2d conv2d_transpose",
        "identity": "Identity",
        "global_max_pool": "GlobalMaxPooling2D GlobalMaxPool2d AdaptiveMaxPool2d",
        "adaptive_avg_pool2d": "AdaptiveAvgPool2d AdaptiveAveragePooling2D",
        "layer_norm": "LayerNorm LayerNormalization ln",
        "group_norm": "GroupNorm GroupNormalization gn",
        "instance_norm": "InstanceNorm2d InstanceNormalization",
        "rms_norm": "RMSNorm RMSNormalization",
        "lrn": "LRN LocalResponseNorm local_response_norm",
        "scale": "Scale",
        "relu6": "ReLU6",
        "prelu": "PReLU",
        "elu": "ELU",
        "selu": "SELU",
        "gelu": "GELU",
        "silu": "SiLU swish Swish",
        "mish": "Mish",
        "softplus": "Softplus",
        "hard_tanh": "Hardtanh hardtanh",
        "hard_sigmoid": "Hardsigmoid HardSigmoid",
        "hard_swish": "Hardswish HardSwish",
        "softmax": "Softmax",
        "log_softmax": "LogSoftmax",
        "spatial_dropout2d": "Dropout2d SpatialDropout2D",
        "alpha_dropout": "AlphaDropout",
        "drop_path": "DropPath StochasticDepth stochastic_depth",
        "gaussian_noise": "GaussianNoise",
        "multiply": "Multiply mul",
        "upsample": "Upsample UpSampling2D UpsamplingBilinear2d UpsamplingNearest2d",
        "zero_pad2d": "ZeroPad2d ZeroPadding2D",
        "crop2d": "Cropping2D Crop",
        "pixel_shuffle": "PixelShuffle depth_to_space",
        "reshape": "Reshape view",
        "batch_norm": "BatchNorm2d BatchNorm1d BatchNormalization BatchNorm batch_normalization bn",
        "dropout": "Dropout",
        "add": "Add Eltwise eltwise sum",
        "concat": "Concat Concatenate concatenate cat",
        "relu": "ReLU Relu rectifier",
        "leaky_relu": "LeakyReLU LeakyReLu lrelu",
        "tanh": "Tanh TanH",
        "sigmoid": "Sigmoid logistic",
    },
    "structures": {
        "residual": "Residual ResidualBlock BasicBlock residual_block skip shortcut",
        "parallel": "Parallel branches inception Inception",
        "repeat": "Repeat loop stack",
        "sequential": "Sequential",
        "squeeze_excite": "SqueezeExcite SqueezeExcitation SELayer se",
    },
    "initializers": {
        "zeros": "Zeros zeros_ zero",
        "ones": "Ones ones_",
        "truncated_normal": "TruncatedNormal trunc_normal trunc_normal_",
        "lecun_uniform": "LecunUniform",
        "lecun_normal": "LecunNormal",
        "variance_scaling": "VarianceScaling",
        "orthogonal": "Orthogonal orthogonal_",
        "dirac": "dirac_",
        "constant": "Constant constant_",
        "uniform": "RandomUniform uniform_ random_uniform",
        "normal": "RandomNormal normal_ gaussian random_normal",
        "glorot_uniform": "GlorotUniform xavier_uniform xavier_uniform_ xavier",
        "glorot_normal": "GlorotNormal xavier_normal xavier_normal_",
        "he_uniform": "HeUniform kaiming_uniform kaiming_uniform_",
        "he_normal": "HeNormal kaiming_normal kaiming_normal_ msra kaiming",
    },
    "losses": {
        "cross_entropy": (
            "CrossEntropyLoss CategoricalCrossentropy SparseCategoricalCrossentropy SoftmaxWithLoss nll NLLLoss "
            "categorical_crossentropy sparse_categorical_crossentropy softmax_cross_entropy log_loss"
        ),
        "mse": "MSELoss MeanSquaredError EuclideanLoss mean_squared_error l2 euclidean",
        "mae": "L1Loss MeanAbsoluteError mean_absolute_error l1",
        "huber": "HuberLoss Huber",
        "smooth_l1": "SmoothL1Loss",
        "hinge": "MultiMarginLoss multi_margin HingeLoss",
        "kl_div": "KLDivLoss KLDivergence kullback_leibler_divergence",
        "binary_cross_entropy": (
            "BCEWithLogitsLoss BCELoss BinaryCrossentropy binary_crossentropy bce SigmoidCrossEntropyLoss"
        ),
        "focal": "FocalLoss BinaryFocalCrossentropy sigmoid_focal_loss",
    },
    "optimizers": {
        "sgd": "SGD momentum Momentum nesterov Nesterov gradient_descent",
        "adagrad": "Adagrad AdaGrad",
        "adam": "Adam",
        "adamw": "AdamW",
        "rmsprop": "RMSprop RMSProp",
        "adadelta": "Adadelta AdaDelta",
        "nadam": "NAdam Nadam",
        "radam": "RAdam",
        "adamax": "Adamax AdaMax",
        "lion": "Lion",
        "lars": "LARS",
        "lamb": "LAMB",
        "muon": "Muon",
    },
    "schedules": {
        "constant": "ConstantLR fixed",
        "step": "StepLR step_lr",
        "cosine": "CosineAnnealingLR CosineDecay cosine_annealing",
        "multistep": "MultiStepLR multi_step PiecewiseConstantDecay",
        "exponential": "ExponentialLR ExponentialDecay exp",
        "linear": "LinearLR",
        "polynomial": "PolynomialLR PolynomialDecay poly",
        "inverse_time": "InverseTimeDecay inv",
        "cosine_restarts": "CosineAnnealingWarmRestarts CosineDecayRestarts sgdr",
        "one_cycle": "OneCycleLR onecycle",
        "cyclic": "CyclicLR",
        "plateau": "ReduceLROnPlateau reduce_on_plateau",
        "sequence": "SequentialLR chained",
    },
    "transforms": {
        "scale": "Rescaling ToTensor to_tensor rescale",
        "normalize": "Normalize Normalization standardize",
        "random_crop": "RandomCrop random_crop_pad",
        "hflip": "RandomHorizontalFlip RandomFlip horizontal_flip random_horizontal_flip flip mirror",
        "vflip": "RandomVerticalFlip vertical_flip random_vertical_flip",
        "resize": "Resizing",
        "to_grayscale": "Grayscale RandomGrayscale grayscale gray",
        "to_rgb": "RGB",
        "invert": "RandomInvert",
        "solarize": "RandomSolarize",
        "posterize": "RandomPosterize",
        "autocontrast": "RandomAutocontrast",
        "color_jitter": "RandomBrightness RandomContrast jitter",
        "random_affine": "RandomTranslation RandomZoom",
        "trivial_augment_wide": "TrivialAugment",
        "zca_whiten": "zca ZCA zca_whitening whitening LinearTransformation",
        "lcn": "local_contrast_normalization",
        "dense_sift": "sift SIFT dsift",
        "haar": "Haar dwt DWT wavelet",
    },
    "datasets": {
        "idx": "MNIST mnist FashionMNIST fashion_mnist EMNIST",
        "cifar10": "CIFAR10 cifar CIFAR",
        "image_folder": "ImageFolder folder image_dataset_from_directory directory",
        "npz": "numpy npy",
    },
    "metrics": {
        "accuracy": "Accuracy acc",
        "error": "error_rate",
        "top_k": "TopKCategoricalAccuracy top5 topk top_k_accuracy",
        "confusion": "ConfusionMatrix confusion_matrix",
        "f1": "F1Score f1_score",
        "auc": "AUROC auroc roc_auc roc_auc_score ROC_AUC",
        "brier": "brier_score BrierScore brier_score_loss",
        "calibration_error": "ECE ece",
        "cohen_kappa": "kappa CohenKappa cohen_kappa_score",
        "mcc": "matthews_corrcoef MatthewsCorrCoef",
        "mae": "MeanAbsoluteError mean_absolute_error",
        "mse": "MeanSquaredError mean_squared_error",
    },
}

_KEYS = {  # ours: theirs
    "filters": "out_channels num_output channels num_filters n_filters",
    "units": "out_features num_output outputs neurons hidden_units width",
    "kernel_size": "kernel ksize pool_size kernel_shape filter_size window",
    "stride": "strides subsample",
    "padding": "pad pads border_mode",
    "dilation": "dilation_rate dilations",
    "groups": "group",
    "bias": "use_bias bias_term",
    "eps": "epsilon fuzz",
    "probability": "p prob",
    "rate": "p drop_rate dropout_rate dropout_ratio prob drop_prob stochastic_depth_prob",
    "degrees": "angle angles",
    "operations": "num_ops",
    "slope": "negative_slope alpha leak",
    "lr": "learning_rate base_lr eta step_size",
    "weight_decay": "l2 wd decay regularization",
    "betas": "beta beta1 beta2 beta_1 beta_2",
    "alpha": "rho",
    "gamma": "factor decay_rate",
    "every": "step_size stepsize interval",
    "min": "eta_min min_lr alpha",
    "body": "layers block",
    "n": "times count repeats num",
    "root": "path dir directory data_dir folder",
    "init": "kernel_initializer weight_filler weight_init",
    "bias_init": "bias_initializer bias_filler",
    "lr_mult": "lr_multiplier param_lr",
    "from": "bottom bottoms input inputs",
    "mean": "means",
    "std": "stds scale",
    "label_smoothing": "smoothing smooth",
    "epochs": "epoch max_epochs num_epochs n_epochs",
    "steps": "max_iter max_steps iterations num_steps",
    "batch_size": "batch bs minibatch",
    "accumulate": "iter_size accumulate_grad_batches gradient_accumulation_steps",
    "clip_norm": "gradient_clip_val max_grad_norm clip_gradients clipnorm grad_clip",
    "early_stopping": "early_stop",
    "source": "dataset train_source",
    "val": "validation validation_split val_split valid",
    "train_transforms": "augmentation augment transforms transform",
    "schedule": "lr_scheduler scheduler lr_schedule",
    "seed": "random_seed manual_seed",
    "layers": "network net",
}

_LAYERS_OF_THEIR_OWN = {  # what others make a key of a layer -> the layer that it is here
    "relu": "activation activation_fn act nonlinearity",
    "batch_norm": "batch_norm batch_normalization use_bn use_batch_norm bn norm normalization norm_layer",
    "dropout": "dropout",
    "max_pool2d": "pool pooling max_pool",
}

_ELSEWHERE = {  # what to do instead -> what others call it, as keys and as options
    "cnntrain computes on the CPU only; leave it out": (
        "device devices gpu gpus cuda use_cuda use_gpu num_gpus accelerator accelerators n_gpu tpu mps"
    ),
    "it trains in 32-bit floating point; leave it out": (
        "amp use_amp fp16 bf16 half mixed_precision precision dtype autocast"
    ),
    "the number of threads is set on the command line, with --threads N": (
        "num_workers workers n_workers num_threads n_jobs nproc dataloader_num_workers"
    ),
    "the run directory is set on the command line, with --run-dir DIR": (
        "output_dir out_dir save_dir log_dir logdir run_dir workdir work_dir logging_dir results_dir default_root_dir"
    ),
    "a run is resumed from the command line, with --run-dir DIR --resume": (
        "resume_from resume_from_checkpoint resume_path ckpt_path"
    ),
    "test-time augmentation is written in the config, as the transform spatial_views in data.eval_transforms": (
        "tta use_tta test_time_augmentation tta_transforms n_tta ten_crop"
    ),
    "name the config by itself, without an option": "config config_file cfg yaml",
}

_INFERRED = frozenset(
    ["in_channels", "in_features", "input_shape", "input_dim", "input_size", "num_features", "num_channels"]
)


def _inverted(table: dict[str, str]) -> dict[str, list[str]]:
    theirs: dict[str, list[str]] = {}
    for ours, names in table.items():
        for name in names.split():
            theirs.setdefault(name, []).append(ours)
    return theirs


_TYPE = {kind: _inverted(table) for kind, table in _TYPES.items()}
_KEY = _inverted(_KEYS)
_LAYER = _inverted(_LAYERS_OF_THEIR_OWN)
_PLACE = {name: advice for advice, names in _ELSEWHERE.items() for name in names.split()}


def type_name(kind: str, name: str, known: Container[str]) -> str | None:
    """Our name for the part that others call `name`, if we have it."""
    return next((ours for ours in _TYPE.get(kind, {}).get(name, ()) if ours in known), None)


def key_name(key: str, known: Container[str]) -> str | None:
    """Our name for the key that others call `key`, among the keys a part has."""
    return next((ours for ours in _KEY.get(key, ()) if ours in known), None)


def nearest_key(word: str, known: Container[str]) -> str | None:
    """Our name for the foreign key that a word most likely misspells, among the keys a part has."""
    theirs = nearest(word, (key for key in _KEY if key_name(key, known)), _ALIKE)
    return theirs and key_name(theirs, known)


def layer_of_its_own(key: str) -> str | None:
    """The layer that others make a key of the layer before it, by an example."""
    return next(iter(_LAYER.get(key, ())), None)


def elsewhere(key: str) -> str | None:
    """What to do instead of a key or an option of other programs that no config has."""
    return _PLACE.get(key.lower())


def is_inferred(key: str) -> bool:
    """Whether it is a key that others require and we infer: the shape of a layer's input."""
    return key in _INFERRED
